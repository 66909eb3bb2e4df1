"""Models, prompts, output parsers and tools: what users configure once and subclass.

These are pydantic models over `Runnable`; whatever is made per token is not.
"""
