"""What an attacker does beyond reading with a fixed classifier: kernels of the attackers' ladder.

Plain functions of arrays; which cells use them, and on whose faces, is decided elsewhere.
"""
