"""Bad input by the thousand, from a seed: each case ends in success or in one message.

``python -m tests.fuzzing --cases 20000 --seed 7`` runs many, and ``--kind study --case 7:123`` one.
"""
