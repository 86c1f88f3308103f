"""Results in formats of other programs: subtitles, annotation tools, data set managers."""
