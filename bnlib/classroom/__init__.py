"""What an instructor runs: `python -m bnlib.classroom ready | copies | results`.

ready    is this machine ready for the lesson?                                      ready.py
copies   the student's and the instructor's edition of the notebooks                copies.py
results  who passed what, from the my_bn.py files that were handed in   results, judge, student
"""

# The outcomes in the tables of `results`: in its help, and below them.
LEGEND = """\
  correct        the function gives the right numbers, on all inputs of the check
  not yet: id    it does not; the mistake has been recognised, and its name is the id
  not yet        it does not; the mistake has no name
  not attempted  the stub as it was
  error          it raises an exception (exit() and MemoryError too), or cannot be called
  too long       no answer within --seconds; the file's other functions are judged all the same
  ended          it ended its process: os._exit(), a crash
  not judged     the file has used up three times --seconds
  suspicious     it claims to be right, and its numbers are not, or are none: read this file
  (empty)        not in the file
"""
