"""Files from elsewhere: downloads, and what archives hold."""
