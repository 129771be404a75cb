// What the crate `oslog` calls of Apple's header of this name, declared as the documentation
// has it, with nothing behind it: so that `cargo xtask build --check` can look at what uses it
// on a machine without Apple's kits. Nothing that is shipped is made with it.

#include <stdint.h>

typedef struct os_log_s *os_log_t;
typedef uint8_t os_log_type_t;

extern os_log_t stand_in_default_log;
void stand_in_os_log(os_log_t log, uint8_t type, const char *format, ...);

#define OS_LOG_DEFAULT stand_in_default_log
#define os_log_with_type(log, type, ...) stand_in_os_log((log), (type), __VA_ARGS__)
#define os_log(log, ...) os_log_with_type(log, 0, __VA_ARGS__)
#define os_log_info(log, ...) os_log_with_type(log, 1, __VA_ARGS__)
#define os_log_debug(log, ...) os_log_with_type(log, 2, __VA_ARGS__)
#define os_log_error(log, ...) os_log_with_type(log, 16, __VA_ARGS__)
#define os_log_fault(log, ...) os_log_with_type(log, 17, __VA_ARGS__)
