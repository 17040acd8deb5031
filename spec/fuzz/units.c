/* units.c - quantities and handles: understood if they are spelled right, and
   then worth what strtod(3) and the suffix say; what is written is read back.
 */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <linux/pkt_sched.h>

#include "kernel.h"
#include "units.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DIGITS "0123456789"

/* tc(8) says of them, and util.c of iproute2: 1000 or 1024 to the power of the
   letter's place, times 8 for bytes a second; sizes are in powers of 1024. */
static double rate_factor(const char *unit) {
  static const char letters[] = "kmgt";
  double factor = 1, base = 1000;
  const char *letter =
      *unit != '\0' ? strchr(letters, tolower((unsigned char)*unit)) : NULL;
  if (*unit == '\0')
    return 1;
  if (letter != NULL)
    unit++;
  if (letter != NULL && tolower((unsigned char)*unit) == 'i') {
    base = 1024;
    unit++;
  }
  if (letter != NULL)
    factor = pow(base, (double)(letter - letters + 1));
  return strcasecmp(unit, "bit") == 0   ? factor
         : strcasecmp(unit, "bps") == 0 ? factor * 8
                                        : -1;
}

static double size_factor(const char *unit) {
  static const char letters[] = "kmg";
  const char *letter =
      *unit != '\0' ? strchr(letters, tolower((unsigned char)*unit)) : NULL;
  const double factor =
      letter != NULL ? pow(1024, (double)(letter - letters + 1)) : 1;
  if (letter == NULL)
    return *unit == '\0' || strcasecmp(unit, "b") == 0 ? 1 : -1;
  return unit[1] == '\0' || strcasecmp(unit + 1, "b") == 0 ? factor
         : strcasecmp(unit + 1, "bit") == 0                ? factor / 8
                                                           : -1;
}

static double time_factor(const char *unit) {
  static const char *const ends[] = {"s", "sec", "secs"};
  static const char letters[] = "mun"; /* thousandths, to that power */
  double factor = 1;
  const char *letter =
      *unit != '\0' ? strchr(letters, tolower((unsigned char)*unit)) : NULL;
  if (letter != NULL) {
    factor = pow(1000, -(double)(letter - letters + 1));
    unit++;
  }
  for (int i = 0; i < 3; i++)
    if (strcasecmp(unit, ends[i]) == 0)
      return factor;
  return -1;
}

/* Negative if there is no such unit. */
static double factor_of(nn_measure measure, const char *unit) {
  switch (measure) {
  case NN_TIME:
    return time_factor(unit);
  case NN_RATE:
    return rate_factor(unit);
  case NN_SIZE:
    return size_factor(unit);
  default:
    return strcmp(unit, "%") == 0 ? 0.01 : -1;
  }
}

/* The text after a decimal number; NULL if there is none. */
static const char *skip_number(const char *text) {
  text += *text == '-';
  size_t digits = strspn(text, DIGITS);
  text += digits;
  if (*text == '.') {
    digits += strspn(text + 1, DIGITS);
    text += 1 + strspn(text + 1, DIGITS);
  }
  if (digits == 0)
    return NULL;
  if (*text == 'e' || *text == 'E') {
    const char *power = text + 1;
    power += *power == '+' || *power == '-';
    if (isdigit((unsigned char)*power))
      text = power + strspn(power, DIGITS);
  }
  return text;
}

/* What is divided by more than 1e308 is 0: of 18 digits, and in units of
   tebibytes, that is less than this, and no quantity. */
#define NOTHING 1e-270

static bool close_to(double a, double b) {
  return a == b || fabs(a - b) <= 1e-12 * fabs(b) ||
         (fabs(a) < NOTHING && fabs(b) < NOTHING);
}

static void check_unit(nn_measure measure, const char *text) {
  double value = 0, again;
  const bool ok = nn_parse_unit(measure, text, &value);
  const char *unit = skip_number(text);
  const double factor = unit != NULL ? factor_of(measure, unit) : -1;
  fuzz_need(ok == (factor > 0), "measure %d: %s", measure, ok ? "yes" : "no");
  if (!ok)
    return;
  fuzz_need(!isnan(value), "measure %d: no number", measure);
  /* what is larger or smaller than any quantity is only to be out of range */
  const double wanted = strtod(text, NULL) * factor;
  fuzz_need(close_to(value, wanted) ||
                (fabs(wanted) > 1e290 && fabs(value) > 1e290),
            "measure %d: %.17g, not %.17g", measure, value, wanted);
  if (fabs(value) > 1e290)
    return;
  static const char *const units[] = {"s", "bit", "b", "%"};
  char written[64];
  snprintf(written, sizeof written, "%.17g%s",
           measure == NN_FRACTION ? value * 100 : value, units[measure]);
  fuzz_need(nn_parse_unit(measure, written, &again) && close_to(again, value),
            "measure %d: %s is not read again", measure, written);
}

static void check_handle(const char *text) {
  uint32_t handle, again;
  char written[32];
  const size_t major = strspn(text, DIGITS "abcdefABCDEF");
  const char *rest = text + major + (text[major] == ':');
  const size_t minor =
      text[major] == ':' ? strspn(rest, DIGITS "abcdefABCDEF") : 0;
  const bool root = strcmp(text, "root") == 0,
             ingress = strcmp(text, "ingress") == 0;
  const bool expected =
      root || ingress ||
      (major >= 1 && major <= 4 && minor <= 4 && rest[minor] == '\0');
  const bool ok = nn_parse_handle(text, &handle);
  fuzz_need(ok == expected, "handle: %s", ok ? "yes" : "no");
  if (!ok)
    return;
  uint32_t wanted = (uint32_t)strtoul(text, NULL, 16) << 16 |
                    (uint32_t)strtoul(rest, NULL, 16);
  if (root || ingress)
    wanted = root ? TC_H_ROOT : TC_H_INGRESS;
  fuzz_need(handle == wanted, "handle %x, not %x", handle, wanted);
  snprintf(written, sizeof written, "%x:%x", handle >> 16, handle & 0xffff);
  fuzz_need(nn_parse_handle(written, &again) && again == handle,
            "%s is not read again", written);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *text = malloc(size + 1);
  if (size > 0)
    memcpy(text, data, size);
  text[size] = '\0';
  for (int measure = NN_TIME; measure <= NN_FRACTION; measure++)
    check_unit((nn_measure)measure, text);
  check_handle(text);
  free(text);
  return 0;
}
