"""What training minimises: one file per objective, all with the contract of `base`."""
