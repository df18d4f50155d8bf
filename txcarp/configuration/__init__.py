"""
What an administrator asks for.  L{model<txcarp.configuration.model>} has the settings of a
virtual host and checks them, L{options<txcarp.configuration.options>} is the table of the
command line's options, and L{ucarp<txcarp.configuration.ucarp>} says what these mean for the
model.
"""
