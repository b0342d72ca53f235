"""Looking for models that cannot: the words of a picture by OCR and a few facts, as text before the user's own.

What reads is PP-OCRv4 (by RapidOCR's package, as weights only) in a process of its own, which starts with the first
picture. It reads; it does not see.
"""
