# SPDX-License-Identifier: Apache-2.0
# cmake -DOUT=FOLDER -P join.cmake: the status page as one file, FOLDER/page.html, and the
# Content-Security-Policy that allows its own style and script and nothing else,
# FOLDER/page_policy.txt.
set(HERE ${CMAKE_CURRENT_LIST_DIR})
set(SCRIPTS text dom fleet poll glance table vm advice istiods page)

# SHA-256 of a text in base64, as the policy wants it: 32 bytes are 43 digits and one "=".
function(sha256_base64 text out)
  set(alphabet "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
  string(SHA256 hex "${text}")
  string(APPEND hex "00")
  set(digits "")
  foreach(at RANGE 0 60 6)
    string(SUBSTRING ${hex} ${at} 6 three_bytes)
    foreach(shift 18 12 6 0)
      math(EXPR sextet "(0x${three_bytes} >> ${shift}) & 63")
      string(SUBSTRING ${alphabet} ${sextet} 1 digit)
      string(APPEND digits ${digit})
    endforeach()
  endforeach()
  string(SUBSTRING ${digits} 0 43 digits)
  set(${out} "${digits}=" PARENT_SCOPE)
endfunction()

file(READ ${HERE}/page.html page)
file(READ ${HERE}/page.css style)
set(script "")
foreach(name ${SCRIPTS})
  file(READ ${HERE}/${name}.js part)
  string(APPEND script "${part}")
endforeach()
if("${script}" MATCHES "</script|<!--" OR "${style}" MATCHES "</style")
  message(FATAL_ERROR "the style or the script has text in it that ends its element")
endif()

sha256_base64("${style}" style_hash)
sha256_base64("${script}" script_hash)
string(REPLACE "@STYLE@" "${style}" page "${page}")
string(REPLACE "@SCRIPT@" "${script}" page "${page}")
file(WRITE ${OUT}/page.html "${page}")

# Trusted types: even the script itself can make no markup of a text.
string(CONCAT policy "default-src 'none'; script-src 'sha256-${script_hash}'; "
  "style-src 'sha256-${style_hash}'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
  "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'")
file(WRITE ${OUT}/page_policy.txt "${policy}")
