# SPDX-License-Identifier: Apache-2.0
# cmake -DIN=FILE -DOUT=FILE.c -DNAME=install_sh -P embed.cmake: a file as an array with a final NUL.
# Characters, not numbers: those above 127 do not fit a char.
file(READ ${IN} bytes HEX)
string(LENGTH ${bytes} digits)
math(EXPR count "${digits} / 2")
string(REGEX REPLACE "(................................)" "\\1\n" bytes ${bytes})
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "'\\\\x\\1'," bytes ${bytes})
file(WRITE ${OUT} "/* Made from ${IN}. */
#include <stddef.h>
extern const char ${NAME}[];
extern const size_t ${NAME}_bytes;
const char ${NAME}[] = {
${bytes}0};
const size_t ${NAME}_bytes = ${count};
")
