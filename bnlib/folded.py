"""What can be read of an output that is folded."""

# JupyterLab shows the first line that is not empty, be it HTML. In a notebook that is an answer;
# so every card and picture begins with a line of one blank.
BLANK = " \n"
