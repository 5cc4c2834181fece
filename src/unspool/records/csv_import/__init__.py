"""
CSV files of strangers: `csv_file` finds encoding and delimiter, `columns` matches the header
with our fields, `importing` writes rows in batches and reports each row it had to skip.
"""
