# Reads "go build -v": one line for every package compiled. Prints a sign of life now and then,
# and whatever is not a package (errors, downloads) as it is.
/^[a-z0-9.\/_-]+$/ { n++; if (n % 100 == 0) { print "  compiled " n " packages (" $0 ")"; fflush() } next }
/^go: downloading/ { d++; if (d % 25 == 0) { print "  downloaded " d " modules"; fflush() } next }
{ print; fflush() }
