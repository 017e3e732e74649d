import { config } from 'zod';

// The page's policy forbids making code from text. zod would try, see that it may not, and leave a report in the console.
config({ jitless: true });
