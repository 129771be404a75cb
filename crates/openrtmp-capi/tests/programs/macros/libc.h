/* What the C libraries and compilers of GNU and Apple define in their own modes. */
#define unix 1
#define linux 1
#define i386 1
#define major(x) (x)
#define minor(x) (x)
#define makedev(a, b) (a)
#define check(x) ((void) 0)
#define verify(x) ((void) 0)
#define require(a, b) ((void) 0)
#define nil 0
#define index index
#define errno (*__errno_location())
#define stdin stdin
#define assert(x) ((void) 0)
