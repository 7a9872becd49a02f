"""The object storage: bytes on disk, reached through signed URLs as S3 gives them out."""
