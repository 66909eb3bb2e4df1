"""Values: messages and chunks, content blocks, merging, partial JSON, documents, ids. No I/O, no engine."""
