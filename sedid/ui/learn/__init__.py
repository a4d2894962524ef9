"""The Learn tab: the method step by step, the quiz and the classroom sheet."""
