/* What the engine defines for every file of a module. */
#define TEXT(x) L##x
#define check(x) ((void) 0)
#define verify(x) ((void) 0)
#define ensure(x) (x)
#define checkf(x, ...) ((void) 0)
#define PI 3.14f
#define PURE_VIRTUAL(x) = 0
#define LOCAL 1
#define dynamic_cast static_cast
