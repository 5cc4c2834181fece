"""What dialects of vendors' APIs share: requests as input of `chat`, answers, errors."""
