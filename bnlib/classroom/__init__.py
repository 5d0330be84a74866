"""What an instructor runs: `python -m bnlib.classroom ready | copies | results`.

ready    is this machine ready for the lesson?                                      ready.py
copies   the student's and the instructor's edition of the notebooks                copies.py
results  who passed what, from the my_bn.py files that were handed in   results, judge, student
"""
