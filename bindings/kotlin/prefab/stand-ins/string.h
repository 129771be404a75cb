/* What openrtmp.h takes of a C library, for where there is no NDK. */
#pragma once
#include <stddef.h>
size_t strlen(const char *text);
