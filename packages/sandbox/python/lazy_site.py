"""Python starts with -S here: looking for installed packages is half of an interpreter's start, and most programs need
none. The built-ins that `site` sets are set; the rest of it runs when a module is asked for that no finder knows.
Comes first.
"""
import site
import sys


class LazySite:
    """The last of the finders, until it is asked for the first time."""

    def find_spec(self, name, path=None, target=None):
        if path is not None:
            return None  # A part of a package that was found already.
        sys.meta_path.remove(self)
        site.main()
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                return spec
        return None


site.setquit()
site.setcopyright()
site.sethelper()
sys.meta_path.append(LazySite())
