/* qdisc_kinds.c - what queues of each kind are made of, in the kernel's units
   and in plain ones. The names are those of `tc`, the attributes those of
   <linux/pkt_sched.h>. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <linux/pkt_sched.h>

#include <netlink/attr.h>
#include <netlink/msg.h>

#include "qdisc.h"

#define END                                                                    \
  { .name = NULL }

/* --- units --------------------------------------------------------------- */

/* The unit in which the kernel tells bursts, which it also tells in
   /proc/net/psched; it has been this since 2.6.31. */
#define TICK 64e-9
#define TICKS_IN_US 15.625

static double given(double value, double otherwise) {
  return isnan(value) ? otherwise : value;
}

/* What is not there is 0. */
static uint64_t scaled(double value, double factor) {
  return (uint64_t)(given(value, 0) * factor + 0.5);
}

static uint32_t to_count(double value) {
  return (uint32_t)scaled(value, 1);
}

/* Whole bytes a second, and no more than was said. */
static uint64_t to_rate(double bits) {
  return (uint64_t)(given(bits, 0) / 8);
}

/* For a field that is followed by one of 64 bits if it is too small. */
static uint32_t to_rate32(double bits) {
  uint64_t rate = to_rate(bits);
  return rate > UINT32_MAX ? UINT32_MAX : (uint32_t)rate;
}

static uint32_t to_probability(double fraction) {
  return (uint32_t)scaled(fraction, UINT32_MAX);
}

/* To an integer, which a value of 1e18 and more is anyway. */
static double rounded(double value) {
  return value < 1e18 ? (double)(uint64_t)(value + 0.5) : value;
}

static double from_probability(uint32_t value) {
  /* more digits than the kernel has would show how it rounds */
  return rounded(value * (1e9 / UINT32_MAX)) / 1e9;
}

/* Reads as absent what is 0: it is not in force. */
static double nonzero(double value) {
  return value == 0 ? (double)NAN : value;
}

/* The time that so many bytes take, in ticks, rounded up, as `tc` does it since
   iproute2 6.15: less would be another burst, and none at a high rate. A
   millionth of a tick is an error of the arithmetic: a burst that is listed, in
   bytes rounded down, makes the same ticks again. */
static uint32_t to_ticks(double bytes, double bits) {
  double ticks = bytes / (double)to_rate(bits) * 1e6 * TICKS_IN_US;
  if (!(ticks < UINT32_MAX)) return UINT32_MAX;
  uint32_t whole = (uint32_t)ticks;
  return ticks - whole > 1e-6 ? whole + 1 : whole;
}

static double from_ticks(uint32_t ticks, double bits) {
  return (double)(uint64_t)(ticks * TICK * bits / 8 + 1e-6);
}

static double whole_microseconds(double seconds) {
  return seconds > 0 ? rounded(seconds * 1e6) / 1e6 : 0;
}

/* The kernel computes with it itself: it wants the tables of transmission times
   that `tc` sends only where it has to guess the link layer from them. */
static struct tc_ratespec ratespec(double bits) {
  return (struct tc_ratespec){.linklayer = TC_LINKLAYER_ETHERNET,
                              .cell_align = -1,
                              .rate = to_rate32(bits)};
}

static void put_rate64(struct nl_msg *msg, int type, double bits) {
  if (to_rate(bits) > UINT32_MAX)
    nla_put_u64(msg, type, to_rate(bits));
}

/* In bits a second; `attr` may be NULL. */
static double get_rate(uint32_t rate, struct nlattr *attr) {
  return 8.0 * (attr != NULL && nla_len(attr) >= 8 ? (double)nla_get_u64(attr)
                                                   : rate);
}

/* Copies the payload as far as it goes; false if it is not there. */
static bool get_struct(struct nlattr *attr, void *data, size_t size) {
  memset(data, 0, size);
  return attr != NULL && nla_memcpy(data, attr, (int)size) > 0;
}

/* Whether a rate has more to it than bits a second. */
static bool is_plain(const struct tc_ratespec *rate) {
  return rate->mpu == 0 && rate->overhead == 0 &&
         (rate->linklayer & TC_LINKLAYER_MASK) <= TC_LINKLAYER_ETHERNET;
}

#define OTHER(type)                                                            \
  { #type, type, NN_OTHER, NN_STATE, NULL }

/* --- netem --------------------------------------------------------------- */

#define NETEM_PRNG_SEED 14 /* Linux 6.6 */

static const nn_field netem_fields[] = {
    {"seed", NETEM_PRNG_SEED, NN_S64, NN_SETTING, NULL},
    {"ecn", TCA_NETEM_ECN, NN_PART, NN_SETTING,
     &(const nn_part){.size = 4, .mask = 1}},
    OTHER(TCA_NETEM_CORR),
    OTHER(TCA_NETEM_DELAY_DIST),
    OTHER(TCA_NETEM_REORDER),
    OTHER(TCA_NETEM_CORRUPT),
    OTHER(TCA_NETEM_RATE),
    OTHER(TCA_NETEM_RATE64),
    OTHER(TCA_NETEM_PAD),
    OTHER(TCA_NETEM_LATENCY64),
    OTHER(TCA_NETEM_JITTER64),
    END};

enum {
  NETEM_DELAY,
  NETEM_JITTER,
  NETEM_DELAY_CORRELATION,
  NETEM_LOSS,
  NETEM_LOSS_CORRELATION,
  NETEM_DUPLICATE,
  NETEM_DUPLICATE_CORRELATION,
  NETEM_CORRUPT,
  NETEM_CORRUPT_CORRELATION,
  NETEM_REORDER,
  NETEM_REORDER_CORRELATION,
  NETEM_GAP,
  NETEM_RATE,
  NETEM_LIMIT,
  NETEM_DISTRIBUTION
};

static const nn_option netem_options[] = {
    {"delay", NN_SECONDS, false},
    {"jitter", NN_SECONDS, false},
    {"delay_correlation", NN_FRACTIONS, false},
    {"loss", NN_FRACTIONS, false},
    {"loss_correlation", NN_FRACTIONS, false},
    {"duplicate", NN_FRACTIONS, false},
    {"duplicate_correlation", NN_FRACTIONS, false},
    {"corrupt", NN_FRACTIONS, false},
    {"corrupt_correlation", NN_FRACTIONS, false},
    {"reorder", NN_FRACTIONS, false},
    {"reorder_correlation", NN_FRACTIONS, false},
    {"gap", NN_COUNT, false},
    {"rate", NN_BITS, false},
    {"limit", NN_COUNT, false},
    {"distribution", NN_DISTRIBUTION, false},
    END};

static const char *netem_problem(const double *v) {
  if (!isnan(v[NETEM_DISTRIBUTION]) && !(v[NETEM_JITTER] > 0))
    return "distribution without jitter";
  if (given(v[NETEM_REORDER], 0) > 0 && !(v[NETEM_DELAY] > 0))
    return "reorder without delay";
  if (given(v[NETEM_GAP], 0) > 0 && !(v[NETEM_REORDER] > 0))
    return "gap without reorder";
  return NULL;
}

#define TABLE 4096 /* as many as those that come with `tc` */

/* Values that are equally likely, in units of the jitter. Those of the normal
   distribution are where its integral reaches equal steps: as x goes on by
   1 / density, the density goes down by x. */
static void fill_table(double distribution, int16_t *table) {
  const int parts = 32;
  const double step = 1.0 / TABLE / parts;
  double x = 0, density = 0.3989422804014327; /* 1 / sqrt(2 * pi) */
  for (int i = 0; i < TABLE / 2; i++) {
    for (int j = i == 0 ? parts / 2 : 0; j < parts; j++) {
      double middle = x + step / 2 / density;
      x += step / (density - step / 2 * x);
      density -= step * middle;
    }
    double value = distribution == NN_NORMAL ? x : (2 * i + 1.0) / TABLE;
    table[TABLE / 2 + i] = (int16_t)(value * NETEM_DIST_SCALE + 0.5);
    table[TABLE / 2 - 1 - i] = (int16_t)-table[TABLE / 2 + i];
  }
}

/* All of it, and not only what is there: the kernel would leave the rest as it
   was before a change. */
static void netem_write(const double *v, struct nl_msg *msg) {
  uint32_t reorder = to_probability(v[NETEM_REORDER]);
  struct tc_netem_qopt head = {.limit = to_count(given(v[NETEM_LIMIT], 1000)),
                               .loss = to_probability(v[NETEM_LOSS]),
                               .gap =
                                   to_count(given(v[NETEM_GAP], reorder != 0)),
                               .duplicate = to_probability(v[NETEM_DUPLICATE])};
  const struct tc_netem_corr corr = {
      to_probability(v[NETEM_DELAY_CORRELATION]),
      to_probability(v[NETEM_LOSS_CORRELATION]),
      to_probability(v[NETEM_DUPLICATE_CORRELATION])};
  const struct tc_netem_reorder reordering = {
      reorder, to_probability(v[NETEM_REORDER_CORRELATION])};
  const struct tc_netem_corrupt corruption = {
      to_probability(v[NETEM_CORRUPT]),
      to_probability(v[NETEM_CORRUPT_CORRELATION])};
  const struct tc_netem_rate rate = {.rate = to_rate32(v[NETEM_RATE])};
  nlmsg_append(msg, &head, sizeof head, NLMSG_ALIGNTO);
  nla_put_s64(msg, TCA_NETEM_LATENCY64, (int64_t)scaled(v[NETEM_DELAY], 1e9));
  nla_put_s64(msg, TCA_NETEM_JITTER64, (int64_t)scaled(v[NETEM_JITTER], 1e9));
  nla_put(msg, TCA_NETEM_CORR, sizeof corr, &corr);
  nla_put(msg, TCA_NETEM_REORDER, sizeof reordering, &reordering);
  nla_put(msg, TCA_NETEM_CORRUPT, sizeof corruption, &corruption);
  nla_put(msg, TCA_NETEM_RATE, sizeof rate, &rate);
  put_rate64(msg, TCA_NETEM_RATE64, v[NETEM_RATE]);
  if (!isnan(v[NETEM_DISTRIBUTION])) {
    int16_t table[TABLE];
    fill_table(v[NETEM_DISTRIBUTION], table);
    nla_put(msg, TCA_NETEM_DELAY_DIST, sizeof table, table);
  }
}

static int netem_read(const struct nlattr *options, double *v) {
  static const struct nla_policy policy[TCA_NETEM_MAX + 1] = {
      [TCA_NETEM_LATENCY64] = {.type = NLA_U64},
      [TCA_NETEM_JITTER64] = {.type = NLA_U64}};
  struct nlattr *attrs[TCA_NETEM_MAX + 1];
  struct tc_netem_qopt head;
  struct tc_netem_corr corr;
  struct tc_netem_reorder reordering;
  struct tc_netem_corrupt corruption;
  struct tc_netem_rate rate;
  if (!get_struct((struct nlattr *)options, &head, sizeof head) ||
      nla_len(options) < (int)sizeof head ||
      nla_parse(
          attrs, TCA_NETEM_MAX,
          (struct nlattr *)(void *)((char *)nla_data(options) + sizeof head),
          nla_len(options) - (int)sizeof head, policy) < 0)
    return 0;
  v[NETEM_LIMIT] = head.limit;
  v[NETEM_GAP] = nonzero(head.gap);
  v[NETEM_LOSS] = nonzero(from_probability(head.loss));
  v[NETEM_DUPLICATE] = nonzero(from_probability(head.duplicate));
  if (attrs[TCA_NETEM_LATENCY64] != NULL)
    v[NETEM_DELAY] =
        nonzero((double)nla_get_s64(attrs[TCA_NETEM_LATENCY64]) / 1e9);
  if (attrs[TCA_NETEM_JITTER64] != NULL)
    v[NETEM_JITTER] =
        nonzero((double)nla_get_s64(attrs[TCA_NETEM_JITTER64]) / 1e9);
  get_struct(attrs[TCA_NETEM_CORR], &corr, sizeof corr);
  v[NETEM_DELAY_CORRELATION] = nonzero(from_probability(corr.delay_corr));
  v[NETEM_LOSS_CORRELATION] = nonzero(from_probability(corr.loss_corr));
  v[NETEM_DUPLICATE_CORRELATION] = nonzero(from_probability(corr.dup_corr));
  get_struct(attrs[TCA_NETEM_REORDER], &reordering, sizeof reordering);
  v[NETEM_REORDER] = nonzero(from_probability(reordering.probability));
  v[NETEM_REORDER_CORRELATION] =
      nonzero(from_probability(reordering.correlation));
  get_struct(attrs[TCA_NETEM_CORRUPT], &corruption, sizeof corruption);
  v[NETEM_CORRUPT] = nonzero(from_probability(corruption.probability));
  v[NETEM_CORRUPT_CORRELATION] =
      nonzero(from_probability(corruption.correlation));
  get_struct(attrs[TCA_NETEM_RATE], &rate, sizeof rate);
  v[NETEM_RATE] = nonzero(get_rate(rate.rate, attrs[TCA_NETEM_RATE64]));
  return rate.packet_overhead || rate.cell_size || rate.cell_overhead
             ? TCA_NETEM_RATE
             : 0;
}

/* --- tbf ----------------------------------------------------------------- */

static const nn_field tbf_fields[] = {
    OTHER(TCA_TBF_PARMS), OTHER(TCA_TBF_RATE64), OTHER(TCA_TBF_PRATE64),
    OTHER(TCA_TBF_BURST), OTHER(TCA_TBF_PBURST), OTHER(TCA_TBF_PAD),
    END};

enum {
  TBF_RATE,
  TBF_BURST,
  TBF_PEAKRATE,
  TBF_MINBURST,
  TBF_LIMIT,
  TBF_LATENCY
};

static const nn_option tbf_options[] = {{"rate", NN_SOME_BITS, true},
                                        {"burst", NN_BYTES, true},
                                        {"peakrate", NN_SOME_BITS, false},
                                        {"minburst", NN_BYTES, false},
                                        {"limit", NN_BYTES, false},
                                        {"latency", NN_SECONDS, false},
                                        END};

/* The bytes that wait no longer than the latency. */
static double tbf_limit(const double *v) {
  double limit = (double)to_rate(v[TBF_RATE]) * v[TBF_LATENCY] +
                 (double)to_count(v[TBF_BURST]);
  double peak = (double)to_rate(v[TBF_PEAKRATE]) * v[TBF_LATENCY] +
                (double)to_count(v[TBF_MINBURST]);
  if (!isnan(v[TBF_PEAKRATE]) && peak < limit)
    limit = peak;
  return limit < UINT32_MAX ? limit : UINT32_MAX;
}

static const char *tbf_problem(const double *v) {
  if (isnan(v[TBF_LIMIT]) && isnan(v[TBF_LATENCY]))
    return "either limit or latency is wanted";
  /* rows have both, of which the latency is in whole microseconds */
  if (!isnan(v[TBF_LIMIT]) && !isnan(v[TBF_LATENCY]) &&
      fabs(tbf_limit(v) - v[TBF_LIMIT]) > v[TBF_RATE] / 8 * 1e-6 + 1)
    return "limit and latency differ";
  if (isnan(v[TBF_PEAKRATE]) != isnan(v[TBF_MINBURST]))
    return "peakrate and minburst go together";
  return NULL;
}

static void tbf_write(const double *v, struct nl_msg *msg) {
  struct tc_tbf_qopt parms = {
      .rate = ratespec(v[TBF_RATE]),
      .limit = (uint32_t)(isnan(v[TBF_LIMIT]) ? tbf_limit(v) : v[TBF_LIMIT]),
      .buffer = to_ticks(v[TBF_BURST], v[TBF_RATE])};
  bool peak = !isnan(v[TBF_PEAKRATE]);
  if (peak) {
    parms.peakrate = ratespec(v[TBF_PEAKRATE]);
    parms.mtu = to_ticks(v[TBF_MINBURST], v[TBF_PEAKRATE]);
  }
  nla_put(msg, TCA_TBF_PARMS, sizeof parms, &parms);
  nla_put_u32(msg, TCA_TBF_BURST, to_count(v[TBF_BURST]));
  put_rate64(msg, TCA_TBF_RATE64, v[TBF_RATE]);
  if (peak) {
    nla_put_u32(msg, TCA_TBF_PBURST, to_count(v[TBF_MINBURST]));
    put_rate64(msg, TCA_TBF_PRATE64, v[TBF_PEAKRATE]);
  }
}

static int tbf_read(const struct nlattr *options, double *v) {
  struct nlattr *attrs[TCA_TBF_MAX + 1];
  struct tc_tbf_qopt parms;
  if (nla_parse_nested(attrs, TCA_TBF_MAX, (struct nlattr *)options, NULL) <
          0 ||
      !get_struct(attrs[TCA_TBF_PARMS], &parms, sizeof parms))
    return 0;
  double rate = get_rate(parms.rate.rate, attrs[TCA_TBF_RATE64]);
  double peak = get_rate(parms.peakrate.rate, attrs[TCA_TBF_PRATE64]);
  v[TBF_RATE] = rate;
  v[TBF_BURST] = from_ticks(parms.buffer, rate);
  v[TBF_LIMIT] = parms.limit;
  double latency = (parms.limit - v[TBF_BURST]) * 8 / rate;
  if (peak > 0) {
    v[TBF_PEAKRATE] = peak;
    v[TBF_MINBURST] = from_ticks(parms.mtu, peak);
    double other = (parms.limit - v[TBF_MINBURST]) * 8 / peak;
    latency = other > latency ? other : latency;
  }
  v[TBF_LATENCY] = whole_microseconds(latency);
  return is_plain(&parms.rate) && is_plain(&parms.peakrate) ? 0 : TCA_TBF_PARMS;
}

/* --- htb ----------------------------------------------------------------- */

static const nn_field htb_fields[] = {
    {"direct_qlen", TCA_HTB_DIRECT_QLEN, NN_U32, NN_SETTING, NULL},
    {"offload", TCA_HTB_OFFLOAD, NN_FLAG, NN_SETTING, NULL},
    OTHER(TCA_HTB_INIT),
    OTHER(TCA_HTB_PAD),
    END};

enum { HTB_DEFAULT, HTB_R2Q };

static const nn_option htb_options[] = {
    {"default", NN_MINOR, false}, {"r2q", NN_COUNT, false}, END};

static void htb_write(const double *v, struct nl_msg *msg) {
  const struct tc_htb_glob init = {.version = TC_HTB_PROTOVER,
                                   .rate2quantum =
                                       to_count(given(v[HTB_R2Q], 10)),
                                   .defcls = to_count(v[HTB_DEFAULT])};
  nla_put(msg, TCA_HTB_INIT, sizeof init, &init);
}

static int htb_read(const struct nlattr *options, double *v) {
  struct nlattr *attrs[TCA_HTB_MAX + 1];
  struct tc_htb_glob init;
  if (nla_parse_nested(attrs, TCA_HTB_MAX, (struct nlattr *)options, NULL) <
          0 ||
      !get_struct(attrs[TCA_HTB_INIT], &init, sizeof init))
    return 0;
  v[HTB_DEFAULT] = init.defcls;
  v[HTB_R2Q] = init.rate2quantum;
  return 0;
}

static const nn_field htb_class_fields[] = {
    {"offload", TCA_HTB_OFFLOAD, NN_FLAG, NN_STATE, NULL},
    OTHER(TCA_HTB_PARMS),
    OTHER(TCA_HTB_RATE64),
    OTHER(TCA_HTB_CEIL64),
    OTHER(TCA_HTB_PAD),
    END};

enum {
  CLASS_RATE,
  CLASS_CEIL,
  CLASS_BURST,
  CLASS_CBURST,
  CLASS_PRIO,
  CLASS_QUANTUM
};

static const nn_option htb_class_options[] = {
    {"rate", NN_SOME_BITS, true}, {"ceil", NN_SOME_BITS, false},
    {"burst", NN_BYTES, false},   {"cburst", NN_BYTES, false},
    {"prio", NN_COUNT, false},    {"quantum", NN_BYTES, false},
    END};

/* A large packet, and what passes between two interrupts of the clock. */
static double least_burst(double bits) {
  struct timespec resolution;
  clock_getres(CLOCK_MONOTONIC, &resolution);
  return (double)(uint64_t)((double)to_rate(bits) *
                            ((double)resolution.tv_nsec / 1e9)) +
         1600;
}

static void htb_class_write(const double *v, struct nl_msg *msg) {
  double rate = v[CLASS_RATE], ceiling = given(v[CLASS_CEIL], rate);
  double burst = given(v[CLASS_BURST], least_burst(rate));
  double cburst = given(v[CLASS_CBURST], least_burst(ceiling));
  const struct tc_htb_opt parms = {.rate = ratespec(rate),
                                   .ceil = ratespec(ceiling),
                                   .buffer = to_ticks(burst, rate),
                                   .cbuffer = to_ticks(cburst, ceiling),
                                   .prio = to_count(v[CLASS_PRIO]),
                                   .quantum = to_count(v[CLASS_QUANTUM])};
  put_rate64(msg, TCA_HTB_RATE64, rate);
  put_rate64(msg, TCA_HTB_CEIL64, ceiling);
  nla_put(msg, TCA_HTB_PARMS, sizeof parms, &parms);
}

static int htb_class_read(const struct nlattr *options, double *v) {
  struct nlattr *attrs[TCA_HTB_MAX + 1];
  struct tc_htb_opt parms;
  if (nla_parse_nested(attrs, TCA_HTB_MAX, (struct nlattr *)options, NULL) <
          0 ||
      !get_struct(attrs[TCA_HTB_PARMS], &parms, sizeof parms))
    return 0;
  v[CLASS_RATE] = get_rate(parms.rate.rate, attrs[TCA_HTB_RATE64]);
  v[CLASS_CEIL] = get_rate(parms.ceil.rate, attrs[TCA_HTB_CEIL64]);
  v[CLASS_BURST] = from_ticks(parms.buffer, v[CLASS_RATE]);
  v[CLASS_CBURST] = from_ticks(parms.cbuffer, v[CLASS_CEIL]);
  if (parms.level == 0) { /* it has no classes below it */
    v[CLASS_PRIO] = parms.prio;
    v[CLASS_QUANTUM] = parms.quantum;
  }
  return is_plain(&parms.rate) && is_plain(&parms.ceil) ? 0 : TCA_HTB_PARMS;
}

/* --- fq_codel ------------------------------------------------------------ */

static const nn_option fq_codel_options[] = {{"limit", NN_COUNT, false},
                                             {"flows", NN_COUNT, false},
                                             {"target", NN_SECONDS, false},
                                             {"interval", NN_SECONDS, false},
                                             {"quantum", NN_BYTES, false},
                                             {"ecn", NN_ON, false},
                                             {"ce_threshold", NN_SECONDS,
                                              false},
                                             END};

static const nn_field fq_codel_fields[] = {
    {"memory_limit", TCA_FQ_CODEL_MEMORY_LIMIT, NN_U32, NN_SETTING, NULL},
    {"drop_batch", TCA_FQ_CODEL_DROP_BATCH_SIZE, NN_U32, NN_SETTING, NULL},
    {"ce_threshold_selector", TCA_FQ_CODEL_CE_THRESHOLD_SELECTOR, NN_U8,
     NN_SETTING, NULL},
    {"ce_threshold_mask", TCA_FQ_CODEL_CE_THRESHOLD_MASK, NN_U8, NN_SETTING,
     NULL},
    OTHER(TCA_FQ_CODEL_TARGET),
    OTHER(TCA_FQ_CODEL_LIMIT),
    OTHER(TCA_FQ_CODEL_INTERVAL),
    OTHER(TCA_FQ_CODEL_ECN),
    OTHER(TCA_FQ_CODEL_FLOWS),
    OTHER(TCA_FQ_CODEL_QUANTUM),
    OTHER(TCA_FQ_CODEL_CE_THRESHOLD),
    END};

/* of 32 bits, in the order of the options; times are in microseconds */
static const int fq_codel_types[] = {
    TCA_FQ_CODEL_LIMIT,    TCA_FQ_CODEL_FLOWS,   TCA_FQ_CODEL_TARGET,
    TCA_FQ_CODEL_INTERVAL, TCA_FQ_CODEL_QUANTUM, TCA_FQ_CODEL_ECN,
    TCA_FQ_CODEL_CE_THRESHOLD};

static double fq_codel_factor(int i) {
  return fq_codel_options[i].unit == NN_SECONDS ? 1e6 : 1;
}

/* The kernel counts in 1024 ns, and rounds down when it is told a time and when
   it tells it. The microseconds that it will tell as `us`. */
static uint32_t codel_time(uint32_t us) {
  const uint64_t told = ((uint64_t)us * 1000 >> 10 << 10) / 1000;
  return told < us && us < UINT32_MAX ? us + 1 : us;
}

static void fq_codel_write(const double *v, struct nl_msg *msg) {
  for (int i = 0; fq_codel_options[i].name != NULL; i++) {
    if (isnan(v[i]))
      continue;
    const uint32_t value = (uint32_t)scaled(v[i], fq_codel_factor(i));
    nla_put_u32(msg, fq_codel_types[i],
                fq_codel_options[i].unit == NN_SECONDS ? codel_time(value)
                                                       : value);
  }
}

static int fq_codel_read(const struct nlattr *options, double *v) {
  struct nlattr *attrs[TCA_FQ_CODEL_MAX + 1];
  if (nla_parse_nested(attrs, TCA_FQ_CODEL_MAX, (struct nlattr *)options,
                       NULL) < 0)
    return 0;
  for (int i = 0; fq_codel_options[i].name != NULL; i++)
    if (attrs[fq_codel_types[i]] != NULL &&
        nla_len(attrs[fq_codel_types[i]]) >= (int)sizeof(uint32_t))
      v[i] = nla_get_u32(attrs[fq_codel_types[i]]) / fq_codel_factor(i);
  return 0;
}

/* --- ingress ------------------------------------------------------------- */

static const nn_option no_options[] = {END};

static void write_nothing(const double *values, struct nl_msg *msg) {
  (void)values, (void)msg;
}

static int read_nothing(const struct nlattr *options, double *values) {
  (void)options, (void)values;
  return 0;
}

static const nn_field no_fields[] = {END};

/* --- by name ------------------------------------------------------------- */

static const char *no_problem(const double *values) {
  (void)values;
  return NULL;
}

const nn_queue nn_qdisc_kinds[] = {
    {"fq_codel", fq_codel_options, fq_codel_fields, 0, no_problem,
     fq_codel_write, fq_codel_read},
    {"htb", htb_options, htb_fields, 0, no_problem, htb_write, htb_read},
    {"ingress", no_options, no_fields, 0, no_problem, write_nothing,
     read_nothing},
    {"netem", netem_options, netem_fields, sizeof(struct tc_netem_qopt),
     netem_problem, netem_write, netem_read},
    {"tbf", tbf_options, tbf_fields, 0, tbf_problem, tbf_write, tbf_read},
    {.kind = NULL}};

const nn_queue nn_class_kinds[] = {
    {"htb", htb_class_options, htb_class_fields, 0, no_problem, htb_class_write,
     htb_class_read},
    {.kind = NULL}};

const nn_queue nn_plain_queue = {NULL,       no_options,    no_fields,   0,
                                 no_problem, write_nothing, read_nothing};

bool nn_queue_exists(lua_State *L, const char *kind) {
  static const char *const kinds[] = {
      "bfifo",      "blackhole",   "cake",          "cbs",    "choke",
      "clsact",     "codel",       "drr",           "dualpi2", "etf",
      "ets",        "fq",          "fq_codel",      "fq_pie", "gred",
      "hfsc",       "hhf",         "htb",           "ingress", "mq",
      "mqprio",     "multiq",      "netem",         "noop",   "noqueue",
      "pfifo",      "pfifo_fast",  "pfifo_head_drop", "pie",  "plug",
      "prio",       "qfq",         "red",           "sfb",    "sfq",
      "skbprio",    "taprio",      "tbf",           "teql",   NULL};
  lua_newtable(L);
  for (const char *const *each = kinds; *each != NULL; each++) {
    if (strcmp(*each, kind) == 0)
      return true;
    lua_pushboolean(L, true);
    lua_setfield(L, -2, *each);
  }
  if (!nn_nearest(L, lua_gettop(L), kind, strlen(kind)))
    lua_pushnil(L);
  return false;
}

const nn_queue *nn_queue_kind(const nn_queue *kinds, const char *kind) {
  while (kinds->kind != NULL && strcmp(kinds->kind, kind) != 0)
    kinds++;
  return kinds->kind != NULL ? kinds : NULL;
}

double nn_unit_round(nn_unit unit, double value) {
  switch (unit) {
  case NN_SECONDS:
  case NN_FRACTIONS:
    return rounded(value * 1e9) / 1e9;
  case NN_BITS:
  case NN_SOME_BITS:
    return 8.0 * (double)to_rate(value);
  default:
    return value;
  }
}
