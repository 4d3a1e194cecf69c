package audit

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// A receipt is a record, the proof that it stands in a log, and the signed checkpoint that the proof leads to, in the form of C2SP
// tlog-proof: whoever has it and the log's public key needs nothing else.
const (
	receiptStart = "c2sp.org/tlog-proof@v1"
	maxReceipt   = 256 << 10
)

var (
	// ErrNoRecord says that there is no such record.
	ErrNoRecord = errors.New("there is no such record")
	// ErrUnsigned says that no checkpoint holds a record yet.
	ErrUnsigned = errors.New("no checkpoint holds this record yet; wait for the next, or ask again when the process has ended")
	// ErrBadReceipt says that a receipt proves nothing.
	ErrBadReceipt = errors.New("the receipt proves nothing")
)

// Prove returns the receipt of a record.
func Prove(dataDir, slot string, seq uint64) ([]byte, error) {
	d := folder{fs: OS(), dir: filepath.Join(dataDir, auditDir, slot)}
	line, err := d.line(seq)
	if err != nil {
		return nil, err
	}
	signed, c, err := d.lastCheckpoint()
	if err != nil {
		return nil, err
	}
	if c.Size < seq {
		return nil, ErrUnsigned
	}
	f, err := d.fs.OpenFile(d.path(treeFile), os.O_RDONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("reading the tree: %w", err)
	}
	defer closing(f, &err)
	proof, err := tlog.ProveRecord(int64(c.Size), int64(seq)-1, hashes{f})
	if err != nil {
		return nil, fmt.Errorf("proving the record: %w", err)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\nextra %s\nindex %d\n", receiptStart, base64.StdEncoding.EncodeToString(line), seq-1)
	for _, hash := range proof {
		fmt.Fprintln(&b, hash)
	}
	fmt.Fprintf(&b, "\n%s", signed)
	return b.Bytes(), nil
}

// line reads the line of a record.
func (d folder) line(seq uint64) (found []byte, err error) {
	f := follower{folder: d}
	segments, err := d.segments()
	if err != nil {
		return nil, err
	}
	for _, segment := range segments {
		if segment <= seq {
			f.at, f.seq = place{segment: segment}, segment-1
		}
	}
	if err := f.next(int(seq-min(f.seq, seq)), seq, func(at uint64, line []byte) error {
		if at == seq {
			found = bytes.Clone(line)
		}
		return nil
	}); err != nil {
		return nil, err
	}
	if found == nil {
		return nil, ErrNoRecord
	}
	return found, nil
}

// lastCheckpoint reads a log's last checkpoint, without asking for its signature.
func (d folder) lastCheckpoint() (signed []byte, c Checkpoint, err error) {
	f, err := d.fs.OpenFile(d.path(checkpointFile), os.O_RDONLY, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil, Checkpoint{}, ErrUnsigned
	}
	if err != nil {
		return nil, Checkpoint{}, fmt.Errorf("reading the checkpoints: %w", err)
	}
	defer closing(f, &err)
	signed, _, err = lastNote(f)
	if err == nil && signed == nil {
		err = ErrUnsigned
	}
	if err != nil {
		return nil, Checkpoint{}, err
	}
	text, _, _ := bytes.Cut(signed, []byte("\n\n"))
	c, err = parseCheckpoint(string(text) + "\n")
	return signed, c, err
}

// LastCheckpoint returns a slot's last checkpoint as it was signed: what is to be kept elsewhere.
func LastCheckpoint(dataDir, slot string) ([]byte, error) {
	signed, _, err := folder{fs: OS(), dir: filepath.Join(dataDir, auditDir, slot)}.lastCheckpoint()
	return signed, err
}

// VerifyReceipt returns the record that a receipt proves, its line, and the checkpoint that holds it, which one of the public keys has
// signed. The error is [ErrBadReceipt] or [ErrBadKey].
func VerifyReceipt(receipt []byte, keys []string) (r Record, line string, c Checkpoint, err error) {
	known, err := newTrust(keys)
	if err != nil {
		return Record{}, "", Checkpoint{}, err
	}
	bad := func(why string) (Record, string, Checkpoint, error) {
		return Record{}, "", Checkpoint{}, fmt.Errorf("%w: %s", ErrBadReceipt, why)
	}
	head, signed, ok := strings.Cut(string(receipt), "\n\n")
	if !ok || len(receipt) > maxReceipt {
		return bad("it is not a receipt")
	}
	leaf, index, proof, ok := parseProof(head)
	if !ok {
		return bad("it is not a receipt")
	}
	c, _, err = openCheckpoint([]byte(signed), known)
	if err != nil {
		return bad(strings.Replace(signatureFault(err), "it is", "its checkpoint is", 1))
	}
	if err := tlog.CheckRecord(proof, int64(c.Size), c.Root, index, tlog.RecordHash(leaf)); err != nil {
		return bad("its record is not in the log that its checkpoint signs")
	}
	if r, ok = record(leaf); !ok || r.Seq != uint64(index)+1 {
		return bad("its record is none")
	}
	return r, string(leaf), c, nil
}

// parseProof reads a receipt's lines before the checkpoint.
func parseProof(head string) (leaf []byte, index int64, proof tlog.RecordProof, ok bool) {
	lines := strings.Split(head, "\n")
	if len(lines) < 3 || lines[0] != receiptStart {
		return nil, 0, nil, false
	}
	extra, hasExtra := strings.CutPrefix(lines[1], "extra ")
	number, hasIndex := strings.CutPrefix(lines[2], "index ")
	leaf, err := base64.StdEncoding.Strict().DecodeString(extra)
	if err != nil || !hasExtra || !hasIndex {
		return nil, 0, nil, false
	}
	index, err = strconv.ParseInt(number, 10, 64)
	if err != nil || index < 0 || number != strconv.FormatInt(index, 10) {
		return nil, 0, nil, false
	}
	for _, text := range lines[3:] {
		hash, err := tlog.ParseHash(text)
		if err != nil || hash.String() != text || len(proof) >= 64 {
			return nil, 0, nil, false
		}
		proof = append(proof, hash)
	}
	return leaf, index, proof, true
}

// TrustedKeys returns the public keys that a data folder's own file vouches for.
func TrustedKeys(dataDir string) ([]string, error) {
	t, wrong, err := readTrust(OS(), filepath.Join(dataDir, auditDir, trustFile), nil)
	if err != nil {
		return nil, err
	}
	if wrong != "" {
		return nil, errors.New(wrong)
	}
	return t.listed, nil
}
