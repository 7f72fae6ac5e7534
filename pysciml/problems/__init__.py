"""What is to be solved: the problem as a frozen value, checked at the door. No word of how."""
