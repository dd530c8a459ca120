"""The statistics: planes, dimensions, the period scan, their nulls and their rivals."""
