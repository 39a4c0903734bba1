"""May we? Choices, the decision made from them, and what it holds back. Knows no other feature."""
