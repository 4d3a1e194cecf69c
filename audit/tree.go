package audit

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// The records of a log are the leaves of a Merkle tree as RFC 6962 has it (AUD-08): leaf n is the line of record n+1, without
// its newline. The hashes of all complete subtrees stand in the file "tree" beside the segments, in the order in which they
// come to be (package tlog's). All of it can be made again from the records; it is kept so that a start doesn't have to, and
// so that whoever changes a line has to change this as well.
const treeFile = "tree"

// A node is a hash of the tree and where the file has it.
type node struct {
	index int64
	hash  tlog.Hash
}

// A tree is what is needed to go on and to tell the root: its size and the roots of its complete subtrees, largest first. The zero
// value is the empty tree.
type tree struct {
	size  int64
	nodes []node
	fresh []tlog.Hash // of the last leaf
}

var errTree = errors.New("a hash of the tree is missing")

// ReadHashes implements [tlog.HashReader] for the hashes that adding a leaf or telling the root needs.
func (t *tree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		at := slices.IndexFunc(t.nodes, func(n node) bool { return n.index == index })
		if at < 0 {
			return nil, errTree
		}
		hashes[i] = t.nodes[at].hash
	}
	return hashes, nil
}

// add adds a leaf and returns the hashes that the file gets for it, valid until the next call.
func (t *tree) add(leaf tlog.Hash) []tlog.Hash {
	t.fresh = append(t.fresh[:0], leaf)
	top := leaf
	for n := t.size; n&1 == 1; n >>= 1 { // each is a subtree of the same size before it
		last := len(t.nodes) - 1
		top = tlog.NodeHash(t.nodes[last].hash, top)
		t.nodes = t.nodes[:last]
		t.fresh = append(t.fresh, top)
	}
	level := len(t.fresh) - 1
	t.nodes = append(t.nodes, node{tlog.StoredHashIndex(level, t.size>>level), top})
	t.size++
	return t.fresh
}

// root is the root of the tree.
func (t *tree) root() (tlog.Hash, error) {
	root, err := tlog.TreeHash(t.size, t)
	if err != nil {
		return tlog.Hash{}, fmt.Errorf("computing the root: %w", err)
	}
	return root, nil
}

// hashes reads the file's hashes.
type hashes struct{ r io.ReaderAt }

// ReadHashes implements [tlog.HashReader].
func (h hashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	list := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		if n, err := h.r.ReadAt(list[i][:], index*tlog.HashSize); n < tlog.HashSize {
			if errors.Is(err, io.EOF) {
				err = errTree
			}
			return nil, fmt.Errorf("reading the tree: %w", err)
		}
	}
	return list, nil
}

// loadTree reads the tree of a size from the file.
func loadTree(r io.ReaderAt, size int64) (tree, error) {
	t := tree{size: size}
	_, err := tlog.TreeHash(size, tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		list, err := hashes{r}.ReadHashes(indexes)
		if err != nil {
			return nil, err
		}
		for i, index := range indexes {
			t.nodes = append(t.nodes, node{index, list[i]})
		}
		return list, nil
	}))
	if err != nil {
		return tree{}, fmt.Errorf("reading the tree: %w", err)
	}
	return t, nil
}

// treeBytes is how large the file of a tree is.
func treeBytes(size int64) int64 { return tlog.StoredHashCount(size) * tlog.HashSize }

// lostLeaf stands in the tree for a record that is not there any more.
func lostLeaf() tlog.Hash { return tlog.RecordHash(nil) }
