package manifest

import (
	"encoding/binary"
	"strings"

	"github.com/zeebo/blake3"
)

// Shards is the number of parts a store's record is split into.
const Shards = 4096

// ShardOf tells which of the Shards parts a mailbox belongs to: the top 12
// bits of the BLAKE3 digest of its name.
func ShardOf(mailbox string) int {
	sum := blake3.Sum256([]byte(mailbox))
	return int(binary.BigEndian.Uint16(sum[:2]) >> 4)
}

// CompareMailboxes is the order in which every stream of mailboxes comes: by
// shard, then by the bytes of the name. Two streams in this order can be
// merged without holding either, and equal shards can be skipped whole.
func CompareMailboxes(a, b string) int {
	if c := ShardOf(a) - ShardOf(b); c != 0 {
		return c
	}
	return strings.Compare(a, b)
}
