"""How much of a code base's calls to models is streamed (S3.8): `unspool audit PATH`."""
