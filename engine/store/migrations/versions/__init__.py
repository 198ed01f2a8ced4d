"""One file per version of the tables; each is never changed once it is out."""
