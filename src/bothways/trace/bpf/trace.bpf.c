// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* Programs of the tracer. What each is attached to, and its number, stands in trace/probe/probes.py. */
#include "report.h"

char _license[] SEC("license") = "Dual BSD/GPL";

#include "tracepoints.h"
#include "sockets.h"
#include "routes.h"
#include "functions.h"
