"""What anything may use: errors, files, limits, what lies in the package, text in and out, modules of a user's own."""
