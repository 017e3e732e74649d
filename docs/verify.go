// Verifies a Veilsum log with other people's code: Go's standard library, and golang.org/x/mod/sumdb/{note,tlog} (Debian:
// golang-golang-x-mod-dev). It shares nothing with Veilsum. SECURITY.md, "Auditor's guide", says how it is run.
//
//	verify LOG POLICY [EARLIER-CHECKPOINT]    a folder of C2SP tlog-tiles, a C2SP tlog-policy
//	verify X.tlog-proof LEAF POLICY           a C2SP tlog-proof
//
// It checks signatures, quorum, tree and that the log grew from an earlier head. It does not check the rules of rounds.
package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func must(ok bool, why ...interface{}) {
	if !ok {
		fmt.Println(append([]interface{}{"REFUSED:"}, why...)...)
		os.Exit(1)
	}
}

func read(path ...string) []byte {
	bytes, err := os.ReadFile(filepath.Join(path...))
	must(err == nil, err)
	return bytes
}

func unbase64(text string) []byte {
	bytes, err := base64.StdEncoding.Strict().DecodeString(text)
	must(err == nil, "not base64:", text)
	return bytes
}

// A witness's key, type 4: its signature is 8 bytes of time and an Ed25519 signature over the time and the note's text.
type witness struct {
	name string
	id   uint32
	key  ed25519.PublicKey
}

func (w witness) Name() string    { return w.name }
func (w witness) KeyHash() uint32 { return w.id }
func (w witness) Verify(text, signature []byte) bool {
	if len(signature) != 72 {
		return false
	}
	time := binary.BigEndian.Uint64(signature)
	message := append([]byte(fmt.Sprintf("cosignature/v1\ntime %d\n", time)), text...)
	return ed25519.Verify(w.key, message, signature[8:])
}

func newWitness(vkey string) witness {
	parts := strings.SplitN(vkey, "+", 3)
	must(len(parts) == 3, "not a key:", vkey)
	key := unbase64(parts[2])
	id := sha256.Sum256(append([]byte(parts[0]+"\n"), key...))
	must(len(key) == 33 && key[0] == 4 && fmt.Sprintf("%x", id[:4]) == parts[1], "not a witness's key:", vkey)
	return witness{parts[0], binary.BigEndian.Uint32(id[:4]), key[1:]}
}

// A policy file: whose keys count, and which of them are enough.
type policy struct {
	logs, all []note.Verifier
	keys      map[string]string // witness of the file -> its key, as keyOf writes it
	groups    map[string][]string
	quorum    string
}

func readPolicy(path string) (p policy) {
	p.keys, p.groups = map[string]string{}, map[string][]string{}
	for _, line := range strings.Split(string(read(path)), "\n") {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		switch words[0] {
		case "log":
			verifier, err := note.NewVerifier(words[1])
			must(err == nil, err)
			p.logs = append(p.logs, verifier)
		case "witness":
			verifier := newWitness(words[2])
			p.keys[words[1]] = keyOf(verifier.Name(), verifier.KeyHash())
			p.all = append(p.all, verifier)
		case "group":
			p.groups[words[1]] = words[2:]
		case "quorum":
			p.quorum = words[1]
		default:
			must(false, "a line of no known form:", line)
		}
	}
	p.all = append(p.all, p.logs...)
	return p
}

// The name alone would let two keys of one name count as one another.
func keyOf(name string, id uint32) string { return fmt.Sprintf("%s+%08x", name, id) }

func (p policy) holds(name string, signed map[string]bool) bool {
	if name == "none" || signed[p.keys[name]] {
		return true
	}
	group := p.groups[name]
	if len(group) == 0 {
		return false
	}
	count, needed := 0, len(group)-1
	for _, member := range group[1:] {
		if p.holds(member, signed) {
			count++
		}
	}
	if group[0] == "any" {
		needed = 1
	} else if group[0] != "all" {
		needed, _ = strconv.Atoi(group[0])
	}
	return needed > 0 && count >= needed
}

// Opens a checkpoint: signed by the log it is of, and cosigned by enough.
func (p policy) open(signedNote []byte) (origin string, size int64, root tlog.Hash, cosigners int) {
	opened, err := note.Open(signedNote, note.VerifierList(p.all...))
	must(err == nil, err)
	lines := strings.Split(opened.Text, "\n")
	must(len(lines) == 4, "not the three lines of a checkpoint")
	size, err = strconv.ParseInt(lines[1], 10, 64)
	must(err == nil && strconv.FormatInt(size, 10) == lines[1], "not a size:", lines[1])
	must(copy(root[:], unbase64(lines[2])) == 32, "not a root")
	signed := map[string]bool{}
	for _, signature := range opened.Sigs {
		signed[keyOf(signature.Name, signature.Hash)] = true
	}
	isLog := false
	for _, log := range p.logs {
		isLog = isLog || (log.Name() == lines[0] && signed[keyOf(log.Name(), log.KeyHash())])
	}
	must(isLog, "not signed by the log", lines[0])
	for _, key := range p.keys {
		if signed[key] {
			cosigners++
		}
	}
	must(p.holds(p.quorum, signed), "too few cosignatures:", cosigners)
	return lines[0], size, root, cosigners
}

// Path of a tile or bundle: 1234067 is x001/x234/067; a partial one has its width at the end.
func tilePath(level string, index, width int64) string {
	path := fmt.Sprintf("%03d", index%1000)
	for index /= 1000; index > 0; index /= 1000 {
		path = fmt.Sprintf("x%03d/%s", index%1000, path)
	}
	if width < 256 {
		path += fmt.Sprintf(".p/%d", width)
	}
	return "tile/" + level + "/" + path
}

func width(hashes, index int64) int64 {
	if hashes-index*256 < 256 {
		return hashes - index*256
	}
	return 256
}

type leaf struct {
	Kind, Actor, Sig string
	Body             struct {
		RootKey, Name, Key string
		Coordinator        struct{ Name, Key string }
		Members            []struct{ Name, Key string }
	}
}

var signaturePart = regexp.MustCompile(`,"sig":"[^"]*"(,"time":[0-9]+,"v":1})$`)

// Checks a leaf's signature by the key that the log has for its actor, and learns keys from it.
func checkLeaf(index int64, entry []byte, keys map[string]string) string {
	var l leaf
	must(json.Unmarshal(entry, &l) == nil, "leaf", index, "is not JSON")
	if l.Kind == "genesis" {
		must(index == 0, "a second genesis at", index)
		keys["root"] = l.Body.RootKey
		for _, party := range append(l.Body.Members, l.Body.Coordinator) {
			keys[party.Name] = party.Key
		}
	}
	must(keys[l.Actor] != "", "leaf", index, "is of nobody the log knows:", l.Actor)
	message := append([]byte("veilsum/v1/leaf\x00"), signaturePart.ReplaceAll(entry, []byte("$1"))...)
	must(ed25519.Verify(unbase64(keys[l.Actor]), message, unbase64(l.Sig)), "leaf", index, "is not signed by", l.Actor)
	if l.Kind == "enrol" {
		must(keys[l.Body.Name] == "", "a name enrolled twice at", index)
		keys[l.Body.Name] = l.Body.Key
	}
	return l.Kind
}

func main() {
	if len(os.Args) == 4 && strings.HasSuffix(os.Args[1], ".tlog-proof") {
		checkProof(os.Args[1], os.Args[2], readPolicy(os.Args[3]))
		return
	}
	folder, p := os.Args[1], readPolicy(os.Args[2])
	origin, size, root, cosigners := p.open(read(folder, "checkpoint"))
	fmt.Printf("log %s\nhead of %d leaves: signed by the log, cosigned by %d witnesses, enough\n", origin, size, cosigners)

	stored, keys, kinds := []tlog.Hash{}, map[string]string{}, map[string]int{}
	reader := tlog.HashReaderFunc(func(indexes []int64) (hashes []tlog.Hash, err error) {
		for _, index := range indexes {
			hashes = append(hashes, stored[index])
		}
		return hashes, nil
	})
	for index := int64(0); index*256 < size; index++ {
		bundle := read(folder, tilePath("entries", index, width(size, index)))
		for i := int64(0); i < width(size, index); i++ {
			must(len(bundle) >= 2 && len(bundle) >= 2+int(binary.BigEndian.Uint16(bundle)), "a bundle that is cut short")
			length := 2 + int(binary.BigEndian.Uint16(bundle))
			kinds[checkLeaf(index*256+i, bundle[2:length], keys)]++
			hashes, err := tlog.StoredHashes(index*256+i, bundle[2:length], reader)
			must(err == nil, err)
			stored, bundle = append(stored, hashes...), bundle[length:]
		}
		must(len(bundle) == 0, "bytes after the last entry of a bundle")
	}
	tree, err := tlog.TreeHash(size, reader)
	must(err == nil && tree == root, "the entries are not those of the checkpoint")
	fmt.Printf("entries: %d, and they give the root %s\n", size, tree)

	tiles := 0
	for level, hashes := 0, size; hashes > 0; level, hashes = level+1, hashes/256 {
		for index := int64(0); index*256 < hashes; index++ {
			wanted := []byte{}
			for i := index * 256; i < index*256+width(hashes, index); i++ {
				hash := stored[tlog.StoredHashIndex(8*level, i)]
				wanted = append(wanted, hash[:]...)
			}
			path := tilePath(strconv.Itoa(level), index, width(hashes, index))
			must(bytes.Equal(wanted, read(folder, path)), "not the tile of these entries:", path)
			tiles++
		}
	}
	fmt.Printf("tiles: %d, and they are those of the entries\n", tiles)
	fmt.Printf("leaves: each signed by the key that the log has for its actor; %d opened, %d decided, %d released\n",
		kinds["open"], kinds["decide"], kinds["release"])

	if len(os.Args) > 3 {
		from, earlier, then, _ := p.open(read(os.Args[3]))
		must(from == origin && earlier <= size, "the head seen before is not an earlier one of this log")
		tree, err := tlog.TreeHash(earlier, reader)
		must(err == nil && tree == then, "the head seen before is of another history: keep both checkpoints")
		fmt.Printf("growth: the head of %d leaves that was seen before is a prefix of this one\n", earlier)
	}
}

// A C2SP tlog-proof: a leaf's place and path, an empty line, the checkpoint.
func checkProof(path, leafPath string, p policy) {
	parts := strings.SplitN(string(read(path)), "\n\n", 2)
	lines := strings.Split(parts[0], "\n")
	must(len(parts) == 2 && lines[0] == "c2sp.org/tlog-proof@v1" && len(lines) > 1, "not a proof")
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[1], "index "), 10, 64)
	must(err == nil, err)
	proof := tlog.RecordProof{}
	for _, line := range lines[2:] {
		var hash tlog.Hash
		must(copy(hash[:], unbase64(line)) == 32, "not a hash:", line)
		proof = append(proof, hash)
	}
	origin, size, root, cosigners := p.open([]byte(parts[1]))
	err = tlog.CheckRecord(proof, size, root, index, tlog.RecordHash(read(leafPath)))
	must(err == nil, err)
	fmt.Printf("proven: leaf %d of %d in %s, cosigned by %d witnesses\n", index, size, origin, cosigners)
}
