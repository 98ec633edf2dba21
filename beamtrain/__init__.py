"""beamtrain"""
