// Verifies logs of ours with Go's own transparency-log packages (golang.org/x/mod/sumdb). One JSON case per line on
// standard input; prints "ok" or a reason per line.
package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type testCase struct {
	Vkey        string
	Note        string
	Seed        string
	Size        int64
	Index       int64
	Inclusion   [][]byte
	From        int64
	FromRoot    []byte
	Consistency [][]byte
}

func hashOf(bytes []byte) (hash tlog.Hash) {
	copy(hash[:], bytes)
	return hash
}

func proofOf(hashes [][]byte) []tlog.Hash {
	proof := []tlog.Hash{}
	for _, bytes := range hashes {
		proof = append(proof, hashOf(bytes))
	}
	return proof
}

func check(c testCase) error {
	verifier, err := note.NewVerifier(c.Vkey)
	if err != nil {
		return err
	}
	opened, err := note.Open([]byte(c.Note), note.VerifierList(verifier))
	if err != nil {
		return err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[1] != fmt.Sprint(c.Size) {
		return fmt.Errorf("not a checkpoint of this size")
	}
	root, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil {
		return err
	}
	stored := []tlog.Hash{}
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hashes := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			hashes[i] = stored[index]
		}
		return hashes, nil
	})
	entry := func(i int64) []byte { return []byte(fmt.Sprintf("%s %d", c.Seed, i)) }
	for i := int64(0); i < c.Size; i++ {
		hashes, err := tlog.StoredHashes(i, entry(i), reader)
		if err != nil {
			return err
		}
		stored = append(stored, hashes...)
	}
	tree, err := tlog.TreeHash(c.Size, reader)
	if err != nil {
		return err
	}
	// Go has no hash of the empty tree: RFC 6962's is checked by known answers.
	if c.Size == 0 {
		return nil
	}
	if tree != hashOf(root) {
		return fmt.Errorf("another root")
	}
	if err := tlog.CheckRecord(proofOf(c.Inclusion), c.Size, tree, c.Index, tlog.RecordHash(entry(c.Index))); err != nil {
		return err
	}
	return tlog.CheckTree(proofOf(c.Consistency), c.Size, tree, c.From, hashOf(c.FromRoot))
}

func main() {
	input := bufio.NewScanner(os.Stdin)
	input.Buffer(make([]byte, 1<<20), 1<<20)
	for input.Scan() {
		var c testCase
		err := json.Unmarshal(input.Bytes(), &c)
		if err == nil {
			err = check(c)
		}
		if err != nil {
			fmt.Println(err)
		} else {
			fmt.Println("ok")
		}
	}
}
