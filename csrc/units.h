/* units.h - quantities as `tc` spells them: units.c. */
#ifndef NETNS_UNITS_H
#define NETNS_UNITS_H

#include <stdbool.h>
#include <stdint.h>

typedef enum nn_measure {
  NN_TIME,    /* "20ms": seconds */
  NN_RATE,    /* "10mbit": bits a second */
  NN_SIZE,    /* "32k": bytes */
  NN_FRACTION /* "1%": 0.01 */
} nn_measure;

/* The number that a text tells, which may be negative. False if it is not
   understood. A text without a unit is understood only where `tc` means by it
   what a number means here: a rate, a size. */
bool nn_parse_unit(nn_measure measure, const char *text, double *value);

/* A handle "8001:" or class "1:10", in hexadecimal; `root`, `ingress`. */
bool nn_parse_handle(const char *text, uint32_t *handle);

#endif
