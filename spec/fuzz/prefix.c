/* prefix.c - addresses and prefixes: the same verdict as inet_pton(3), and what
   is understood is written as it was read. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fields.h"
#include "kernel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A copy with nothing behind it, but a NUL if it is to be a string. */
static char *copy(const uint8_t *data, size_t size, bool string) {
  char *text = malloc(size + string);
  if (size > 0)
    memcpy(text, data, size);
  if (string)
    text[size] = '\0';
  return text;
}

static void check_ip(const char *text) {
  unsigned char bytes[16], v4[4], v6[16];
  char written[INET6_ADDRSTRLEN];
  const bool is_v4 = inet_pton(AF_INET, text, v4) == 1;
  const bool is_v6 = inet_pton(AF_INET6, text, v6) == 1;
  const int size = nn_parse_ip(text, bytes);
  fuzz_need(size == (is_v4 ? 4 : is_v6 ? 16 : 0), "size %d", size);
  if (size == 0)
    return;
  fuzz_need(memcmp(bytes, is_v4 ? v4 : v6, (size_t)size) == 0, "other bytes");
  unsigned char again[16];
  inet_ntop(is_v4 ? AF_INET : AF_INET6, bytes, written, sizeof written);
  fuzz_need(nn_parse_ip(written, again) == size &&
                memcmp(bytes, again, (size_t)size) == 0,
            "%s is not read again", written);
}

/* What it should say of the length: digits, without zeroes before them. */
static int expected_length(const char *text, int max, int *len) {
  const size_t digits = strspn(text, "0123456789");
  if (digits == 0 || text[digits] != '\0' || (text[0] == '0' && digits > 1))
    return EINVAL;
  *len = digits > 3 ? max + 1 : atoi(text);
  return *len > max ? ERANGE : 0;
}

/* The same of all, for a text without NUL. */
static int expected(char *text, nn_prefix *prefix) {
  char *slash = strchr(text, '/');
  if (slash != NULL)
    *slash = '\0';
  memset(prefix, 0, sizeof *prefix);
  prefix->family = inet_pton(AF_INET, text, prefix->bytes) == 1    ? AF_INET
                   : inet_pton(AF_INET6, text, prefix->bytes) == 1 ? AF_INET6
                                                                   : 0;
  if (prefix->family == 0)
    return EINVAL;
  prefix->size = prefix->family == AF_INET ? 4 : 16;
  prefix->len = prefix->size * 8;
  return slash == NULL ? 0
                       : expected_length(slash + 1, prefix->len, &prefix->len);
}

static bool same(const nn_prefix *a, const nn_prefix *b) {
  return a->family == b->family && a->size == b->size && a->len == b->len &&
         memcmp(a->bytes, b->bytes, (size_t)a->size) == 0;
}

static void check_prefix(const uint8_t *data, size_t size) {
  nn_prefix prefix, other;
  char *text = copy(data, size, false), *string = copy(data, size, true);
  const int err = nn_parse_prefix(text, size, &prefix);
  if (strlen(string) != size) {
    fuzz_need(err == EINVAL, "a NUL gives %d", err);
  } else {
    const int wanted = expected(string, &other);
    fuzz_need(err == wanted, "%d, not %d", err, wanted);
    fuzz_need(err != 0 || same(&prefix, &other), "another prefix");
  }
  if (err == 0) {
    char written[INET6_ADDRSTRLEN + 4], address[INET6_ADDRSTRLEN];
    inet_ntop(prefix.family, prefix.bytes, address, sizeof address);
    const int len =
        snprintf(written, sizeof written, "%s/%d", address, prefix.len);
    fuzz_need(nn_parse_prefix(written, (size_t)len, &other) == 0 &&
                  same(&prefix, &other),
              "%s is not read again", written);
  }
  free(text);
  free(string);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *string = copy(data, size, true);
  check_ip(string);
  free(string);
  check_prefix(data, size);
  return 0;
}
