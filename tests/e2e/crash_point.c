/* crash_point before|after N PROGRAM ARG...
 *
 * Runs PROGRAM and kills it, with all its threads, before or right after the Nth system call by
 * which any of them changes a file. Processes that it has started are not traced and live on. Writes
 * `killed at NAME`, or `COUNT calls` if the program ended before. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <linux/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CALL(name) {SYS_##name, #name}
static const struct { unsigned long number; const char *name; } CALLS[] = {
#ifdef SYS_rename /* Newer processors lack the older calls. */
    CALL(rename), CALL(link), CALL(unlink), CALL(rmdir), CALL(mkdir), CALL(symlink), CALL(chmod),
    CALL(open),
#endif
#ifdef SYS_renameat
    CALL(renameat),
#endif
    CALL(renameat2), CALL(linkat), CALL(unlinkat), CALL(mkdirat), CALL(symlinkat), CALL(fchmod),
    CALL(fchmodat), CALL(fsync), CALL(fdatasync), CALL(syncfs), CALL(ftruncate), CALL(write),
    CALL(pwrite64), CALL(writev), CALL(pwritev), CALL(copy_file_range), CALL(sendfile),
    CALL(openat), CALL(flock), CALL(ioctl)};

static pid_t traced;

/* Tells whether a descriptor is a file on a disk: no terminal, pipe, device or file of the kernel. */
static int is_file(unsigned long long fd) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/%d/fd/%llu", traced, fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 1 || path[0] != '/') return 0;
  path[length] = 0;
  return strncmp(path, "/dev/", 5) && strncmp(path, "/proc/", 6);
}

/* Returns the name of a system call that changes a file; NULL for any other. */
static const char *changing(unsigned long number, const unsigned long long *args) {
  const char *name = NULL;
  for (size_t at = 0; at < sizeof CALLS / sizeof *CALLS; at++)
    if (CALLS[at].number == number) name = CALLS[at].name;
  if (!name) return NULL;
  if (number == SYS_openat && !(args[2] & (O_CREAT | O_TRUNC))) return NULL;
#ifdef SYS_open
  if (number == SYS_open && !(args[1] & (O_CREAT | O_TRUNC))) return NULL;
#endif
  if ((number == SYS_write || number == SYS_ioctl) && !is_file(args[0])) return NULL;
  return name;
}

static int killed(const char *name) {
  int status;
  kill(traced, SIGKILL);
  for (;;) {
    pid_t pid = waitpid(-1, &status, __WALL);
    if (pid < 0 && errno == ECHILD) break;
    if (pid == traced && (WIFEXITED(status) || WIFSIGNALED(status))) break;
    if (pid > 0 && WIFSTOPPED(status)) ptrace(PTRACE_CONT, pid, 0, 0);
  }
  fprintf(stderr, "killed at %s\n", name);
  return 0;
}

int main(int argc, char **argv) {
  if (argc < 4) return 98;
  int is_after = !strcmp(argv[1], "after");
  long wanted = atol(argv[2]), seen = 0;
  traced = fork();
  if (traced == 0) {
    if (ptrace(PTRACE_TRACEME, 0, 0, 0)) _exit(97);
    raise(SIGSTOP);
    execv(argv[3], argv + 3);
    _exit(99);
  }
  int status, code = 0;
  waitpid(traced, &status, 0);
  if (!WIFSTOPPED(status)) return 97;
  ptrace(PTRACE_SETOPTIONS, traced, 0,
         PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD);
  ptrace(PTRACE_SYSCALL, traced, 0, 0);
  pid_t within = 0; /* The thread that is inside the wanted call. */
  const char *name = NULL;
  for (;;) {
    pid_t pid = waitpid(-1, &status, __WALL);
    if (pid < 0 && errno == ECHILD) break;
    if (pid < 0) continue;
    if (WIFEXITED(status) || WIFSIGNALED(status)) {
      if (pid != traced) continue;
      code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      break;
    }
    if (!WIFSTOPPED(status)) continue;
    int signal = WSTOPSIG(status), is_event = status >> 16, deliver = 0;
    if (signal == (SIGTRAP | 0x80)) {
      struct ptrace_syscall_info info;
      memset(&info, 0, sizeof info);
      ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info);
      if (info.op == PTRACE_SYSCALL_INFO_ENTRY && !within) {
        const char *call = changing(info.entry.nr, (const unsigned long long *)info.entry.args);
        if (call && ++seen == wanted) {
          if (!is_after) return killed(call);
          within = pid;
          name = call;
        }
      } else if (info.op == PTRACE_SYSCALL_INFO_EXIT && within == pid) {
        return killed(name);
      }
    } else if (!is_event && signal != SIGTRAP && signal != SIGSTOP) {
      deliver = signal;
    }
    ptrace(PTRACE_SYSCALL, pid, 0, deliver);
  }
  fprintf(stderr, "%ld calls\n", seen);
  return code;
}
