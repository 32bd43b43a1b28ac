"""Is this number right?"""
