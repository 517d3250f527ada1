/* SPDX-License-Identifier: MIT */
/* seen.c - what /proc and /sys show of others, and would let be written. */
#include <unistd.h>

#include "attempt.h"

int
attempt_see_neighbour(void)
{
	return access(proc(process("neighbour_pid"), "stat"), F_OK);
}

int
attempt_read_neighbour_environment(void)
{
	return can_read(proc(process("neighbour_pid"), "environ"));
}

int
attempt_read_neighbour_memory(void)
{
	return can_read(proc(process("neighbour_pid"), "maps"));
}

int
attempt_enter_neighbour_root(void)
{
	return can_list(proc(process("neighbour_pid"), "root/"));
}

int
attempt_take_neighbour_descriptor(void)
{
	return can_read(proc(process("neighbour_pid"), "fd/0"));
}

int
attempt_see_master(void)
{
	return access(proc(process("master"), "stat"), F_OK);
}

int
attempt_read_gateway_environment(void)
{
	return can_read(proc(process("gateway"), "environ"));
}

int
attempt_read_gateway_memory(void)
{
	return can_read(proc(process("gateway"), "maps"));
}

int
attempt_read_launcher_environment(void)
{
	return can_read(proc(launcher, "environ"));
}

int
attempt_read_launcher_memory(void)
{
	return can_read(proc(launcher, "maps"));
}

int
attempt_take_launcher_descriptor(void)
{
	return can_list(proc(launcher, "fd"));
}

int
attempt_read_cell_environment(void)
{
	return can_read(proc(process("cell"), "environ"));
}

int
attempt_enter_cell_root(void)
{
	return can_list(proc(process("cell"), "root/"));
}

int
attempt_take_cell_descriptor(void)
{
	return can_list(proc(process("cell"), "fd"));
}

int
attempt_write_core_pattern(void)
{
	return can_write("/proc/sys/kernel/core_pattern");
}

int
attempt_trigger_sysrq(void)
{
	return can_write("/proc/sysrq-trigger");
}

int
attempt_read_kernel_memory(void)
{
	return can_read("/proc/kcore");
}

int
attempt_protect_from_oom(void)
{
	int fd = can_write("/proc/self/oom_score_adj");

	return fd < 0 ? fd : (int)write(fd, "-999", 4);
}
