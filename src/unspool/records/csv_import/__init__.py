"""
Imports anyone's CSV files: `csv_file` finds encoding and delimiter, `columns` matches headers
with our columns, `importing` writes rows in batches and reports each row it skips.
"""
