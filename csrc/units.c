/* units.c - times, rates, sizes and percentages as `tc` spells them. */
#include <ctype.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

#include <linux/pkt_sched.h>

#include "units.h"

#define KIB 1024.0
#define MIB (1024.0 * KIB)
#define GIB (1024.0 * MIB)
#define TIB (1024.0 * GIB)

/* A suffix, in letters of either case, and what it multiplies by. */
typedef struct suffix {
  const char *text;
  double factor;
} suffix;

static const suffix times[] = {{"s", 1},     {"sec", 1},     {"secs", 1},
                               {"ms", 1e-3}, {"msec", 1e-3}, {"msecs", 1e-3},
                               {"us", 1e-6}, {"usec", 1e-6}, {"usecs", 1e-6},
                               {"ns", 1e-9}, {"nsec", 1e-9}, {"nsecs", 1e-9},
                               {NULL, 0}};

/* "bps" are bytes. */
static const suffix rates[] = {{"", 1},
                               {"bit", 1},
                               {"kbit", 1e3},
                               {"kibit", KIB},
                               {"mbit", 1e6},
                               {"mibit", MIB},
                               {"gbit", 1e9},
                               {"gibit", GIB},
                               {"tbit", 1e12},
                               {"tibit", TIB},
                               {"bps", 8},
                               {"kbps", 8e3},
                               {"kibps", 8 * KIB},
                               {"mbps", 8e6},
                               {"mibps", 8 * MIB},
                               {"gbps", 8e9},
                               {"gibps", 8 * GIB},
                               {"tbps", 8e12},
                               {"tibps", 8 * TIB},
                               {NULL, 0}};

static const suffix sizes[] = {
    {"", 1},           {"b", 1},          {"k", KIB},        {"kb", KIB},
    {"m", MIB},        {"mb", MIB},       {"g", GIB},        {"gb", GIB},
    {"kbit", KIB / 8}, {"mbit", MIB / 8}, {"gbit", GIB / 8}, {NULL, 0}};

static const suffix fractions[] = {{"%", 0.01}, {NULL, 0}};

static const suffix *const suffixes[] = {[NN_TIME] = times,
                                         [NN_RATE] = rates,
                                         [NN_SIZE] = sizes,
                                         [NN_FRACTION] = fractions};

static bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/* An exponent, as Lua writes large numbers: the text after it, or `text`. */
static const char *parse_exponent(const char *text, int *exponent) {
  const char *p = text + 1;
  bool negative = *text != '\0' && *p == '-';
  int value = 0;
  if (*text != 'e' && *text != 'E')
    return text;
  if (*p == '+' || *p == '-')
    p++;
  if (!is_digit(*p))
    return text;
  for (; is_digit(*p); p++)
    if (value < 1000)
      value = value * 10 + (*p - '0');
  *exponent += negative ? -value : value;
  return p;
}

/* One more digit, or, behind those that a double tells apart, one place. */
static void add_digit(char digit, double *value, int *exponent) {
  if (*value < 1e17)
    *value = *value * 10 + (digit - '0');
  else
    ++*exponent;
}

/* A decimal number at the start: the text after it, NULL if there is none.
   Not strtod, which obeys the locale of the host program. */
static const char *parse_decimal(const char *text, double *value) {
  bool negative = *text == '-', any = false;
  int exponent = 0;
  double power = 1;
  if (negative)
    text++;
  *value = 0;
  for (; is_digit(*text); text++, any = true)
    add_digit(*text, value, &exponent);
  if (*text == '.')
    for (text++; is_digit(*text); text++, any = true, exponent--)
      add_digit(*text, value, &exponent);
  if (!any)
    return NULL;
  text = parse_exponent(text, &exponent);
  for (int i = exponent < 0 ? -exponent : exponent; i > 0; i--)
    power *= 10;
  if (*value != 0) /* which times an infinite power is no number */
    *value = exponent < 0 ? *value / power : *value * power;
  if (negative)
    *value = -*value;
  return text;
}

bool nn_parse_unit(nn_measure measure, const char *text, double *value) {
  const char *unit = parse_decimal(text, value);
  if (unit == NULL)
    return false;
  for (const suffix *s = suffixes[measure]; s->text != NULL; s++)
    if (strcasecmp(s->text, unit) == 0) {
      *value *= s->factor;
      return true;
    }
  return false;
}

/* Up to four hexadecimal digits: the text after them. */
static const char *parse_hex(const char *text, uint32_t *value) {
  static const char digits[] = "0123456789abcdef";
  *value = 0;
  for (int i = 0; i < 4 && isxdigit((unsigned char)*text); i++, text++)
    *value = *value * 16 +
             (uint32_t)(strchr(digits, tolower((unsigned char)*text)) - digits);
  return text;
}

bool nn_parse_handle(const char *text, uint32_t *handle) {
  uint32_t minor = 0;
  if (strcmp(text, "root") == 0 || strcmp(text, "ingress") == 0) {
    *handle = *text == 'r' ? TC_H_ROOT : TC_H_INGRESS;
    return true;
  }
  const char *end = parse_hex(text, handle);
  if (end == text)
    return false;
  if (*end == ':')
    end = parse_hex(end + 1, &minor);
  *handle = TC_H_MAKE(*handle << 16, minor);
  return *end == '\0';
}
