/* tiny.c - the smallest program, so that what is measured is the starting of
   one. Without libc, whose start asks the processor what it is (CPUID), which
   takes 0.3 ms in a virtual machine. With -DNAP it sleeps for so many
   nanoseconds first. */
#include <sys/syscall.h>

#ifndef NAP
#define NAP 0
#endif

void _start(void);

void _start(void) {
  static const long nap[2] = {0, NAP};
#if defined __x86_64__
  long result = SYS_nanosleep;
  if (NAP > 0)
    __asm__ volatile("syscall"
                     : "+a"(result)
                     : "D"(nap), "S"(0)
                     : "rcx", "r11", "memory");
  __asm__ volatile("syscall" : : "a"(SYS_exit_group), "D"(0));
#elif defined __aarch64__
  register long first __asm__("x0") = (long)nap, second __asm__("x1") = 0;
  register long number __asm__("x8") = SYS_nanosleep;
  if (NAP > 0)
    __asm__ volatile("svc 0" : "+r"(first) : "r"(second), "r"(number) : "memory");
  first = 0;
  number = SYS_exit_group;
  __asm__ volatile("svc 0" : : "r"(first), "r"(number));
#else
#error "how does a program end on this machine?"
#endif
  __builtin_unreachable();
}
