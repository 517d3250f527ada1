/* SPDX-License-Identifier: MIT */
/* main.c - how a cell comes to be: made in its namespaces by master, told who
 * it is, shut in by its plan, and only then reading a byte of its tenant's. */

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/diag.h"

#include "cell/apply.h"
#include "cell/cell.h"

enum { REASON_MOST = 1800 }; /* CELL_FAILED has 2048 bytes */

int
main(int argc, char **argv)
{
	struct cell_start start;
	struct plan *plan;
	struct buf reason;

	if (fd_fill_standard() != 0)
		return 1;
	diag_init("fcgi-host-cell");
	if (argc == 3 && strcmp(argv[1], "--probe") == 0) /* by master */
		_exit(start_probe(strtoull(argv[2], NULL, 10)));
	if (!start_receive(&start))
		return 0;
	buf_init(&reason, REASON_MOST);
	plan = plan_make(&start.facts, start.config);
	if (apply_plan(plan, &start.directory_fd, &reason) != 0)
		start_failed(buf_span(&reason));
	cell_serve(&start, &plan); /* as the tenant, for good */
}
