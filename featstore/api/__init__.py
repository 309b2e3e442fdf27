"""The verbs of the Python front door; the command line calls the same jobs.

All have one shape: what the verb is about comes first, then keyword arguments. `cache` and `runs` say where results go,
`progress` shows a display, and the rest are the options of the command line under the same names. Images that are held
out and were trained on make a verb warn with `LeakWarning`, and so do images that changed their split.
"""
