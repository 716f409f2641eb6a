// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * The devices of the network namespace in which the running task is. There is no iterator over namespaces, so the task goes into each of
 * them and has this run (BPF_PROG_TEST_RUN runs a program at once, in the task that asks for it). A namespace of more devices than a run
 * takes is read in several: each goes on behind the device at which the one before it ended.
 */
#include <linux/types.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#define CORE __attribute__((preserve_access_index))
#define DEVICES_A_RUN 16

struct list_head {
	struct list_head *next, *prev;
} CORE;

struct ns_common {
	unsigned int inum;
} CORE;

struct net {
	struct list_head dev_base_head;
	struct ns_common ns;
} CORE;

struct nsproxy {
	struct net *net_ns;
} CORE;

struct task_struct {
	struct nsproxy *nsproxy;
} CORE;

struct net_device_ops {
	void *ndo_start_xmit;
} CORE;

struct rtnl_link_ops {
	const char *kind;
} CORE;

struct net_device {
	char name[16];
	int ifindex;
	unsigned int mtu;
	unsigned int flags;
	struct list_head dev_list;
	const struct net_device_ops *netdev_ops;
	const struct rtnl_link_ops *rtnl_link_ops;
} CORE;

/* What the probe reads: trace/probe/devices.py knows the same layout. */
struct row {
	__u64 transmit;
	__u64 ops;
	__u32 ifindex;
	__u32 mtu;
	__u32 flags;
	__u32 unused;
	char name[16];
	char kind[16];
};

struct list {
	__u64 behind; /* the list element at which to go on; 0 for the first run, and when the list has ended */
	__u32 namespace;
	__u32 count;
	struct row rows[DEVICES_A_RUN];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct list);
} list SEC(".maps");

char _license[] SEC("license") = "Dual BSD/GPL";

/* What is not there reads as nothing: a read of address 0 fails, and leaves the zeros. */
static __always_inline void fill(struct row *row, const struct net_device *device)
{
	const struct net_device_ops *ops = BPF_CORE_READ(device, netdev_ops);
	const struct rtnl_link_ops *link = BPF_CORE_READ(device, rtnl_link_ops);

	row->ops = (__u64)ops;
	row->transmit = (__u64)BPF_CORE_READ(ops, ndo_start_xmit);
	row->ifindex = BPF_CORE_READ(device, ifindex);
	row->mtu = BPF_CORE_READ(device, mtu);
	row->flags = BPF_CORE_READ(device, flags);
	bpf_core_read(&row->name, sizeof(row->name), &device->name);
	__builtin_memset(row->kind, 0, sizeof(row->kind));
	bpf_probe_read_kernel_str(row->kind, sizeof(row->kind), BPF_CORE_READ(link, kind));
}

SEC("raw_tp/sys_enter")
int list_devices(void *context)
{
	const struct task_struct *task = (const struct task_struct *)bpf_get_current_task();
	struct net *net = BPF_CORE_READ(task, nsproxy, net_ns);
	struct list_head *head, *at, *before;
	__u32 zero = 0;
	struct list *told = bpf_map_lookup_elem(&list, &zero);

	if (!net || !told)
		return 0;
	head = (struct list_head *)((char *)net + bpf_core_field_offset(net->dev_base_head));
	at = told->behind ? (struct list_head *)told->behind : head;
	told->namespace = BPF_CORE_READ(net, ns.inum);
	told->behind = 0;
	told->count = 0;
#pragma unroll
	for (int i = 0; i < DEVICES_A_RUN; i++) {
		before = at;
		at = BPF_CORE_READ(before, next);
		/* Devices may go while the list is read: an element that does not point back is not in it any more. */
		if (!at || at == head || BPF_CORE_READ(at, prev) != before)
			return 0;
		fill(&told->rows[i],
		     (const struct net_device *)((char *)at - bpf_core_field_offset(struct net_device, dev_list)));
		told->count = i + 1;
	}
	told->behind = (__u64)at;
	return 0;
}
